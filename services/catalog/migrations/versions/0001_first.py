"""Products and their prices."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE product (
            sku text NOT NULL,
            store_id text NOT NULL,
            status text NOT NULL,
            version integer NOT NULL,
            category text NOT NULL,
            hs_code text NOT NULL,
            origin_country text NOT NULL,
            weight_grams integer NOT NULL,
            flags text[] NOT NULL,
            claims_preference boolean NOT NULL,
            titles jsonb NOT NULL,
            descriptions jsonb NOT NULL,
            bullets jsonb NOT NULL,
            media jsonb NOT NULL,
            attributes jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            CONSTRAINT pk_product PRIMARY KEY (sku),
            CONSTRAINT ck_product_status CHECK (status IN ('published', 'withdrawn')),
            CONSTRAINT ck_product_version CHECK (version > 0),
            CONSTRAINT ck_product_weight CHECK (weight_grams >= 0),
            CONSTRAINT ck_product_hs_code CHECK (hs_code ~ '^([0-9]{6,12})?$')
        )
    """)
    op.execute("CREATE INDEX ix_product_list ON product (store_id, sku)")
    op.execute("CREATE INDEX ix_product_category ON product (store_id, category, sku)")
    op.execute("""
        CREATE TABLE product_price (
            sku text NOT NULL,
            market text NOT NULL,
            currency text NOT NULL,
            entered_amount bigint NOT NULL,
            entered_tax_included boolean,
            entered_tax_rate_bps integer,
            foreign_currency boolean NOT NULL,
            shown_amount bigint NOT NULL,
            tax_included boolean NOT NULL,
            tax_rate_bps integer NOT NULL,
            CONSTRAINT pk_product_price PRIMARY KEY (sku, market, currency),
            CONSTRAINT ck_product_price_amount CHECK (entered_amount >= 0 AND shown_amount >= 0),
            CONSTRAINT ck_product_price_tax_rate CHECK (tax_rate_bps BETWEEN 0 AND 10000)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE product_price")
    op.execute("DROP TABLE product")
