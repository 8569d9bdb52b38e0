"""Consignments, parcels, papers, and logistics' copy of the catalog."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE consignment (
            order_id text NOT NULL,
            store_id text NOT NULL,
            destination text NOT NULL,
            state text NOT NULL,
            papers_status text NOT NULL,
            facts jsonb NOT NULL,
            papers jsonb NOT NULL,
            allocations jsonb NOT NULL,
            trouble jsonb,
            round integer NOT NULL,
            placed_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            booked_at timestamptz,
            dispatched_at timestamptz,
            delivered_at timestamptz,
            CONSTRAINT pk_consignment PRIMARY KEY (order_id)
        )
    """)
    op.execute("CREATE INDEX ix_consignment_papers ON consignment (store_id, papers_status, order_id)")
    op.execute("CREATE INDEX ix_consignment_state ON consignment (store_id, state, order_id)")
    op.execute("""
        CREATE TABLE held_line (
            sku text NOT NULL,
            order_id text NOT NULL,
            CONSTRAINT pk_held_line PRIMARY KEY (sku, order_id)
        )
    """)
    op.execute("CREATE INDEX ix_held_line_order_id ON held_line (order_id)")
    op.execute("""
        CREATE TABLE parcel (
            parcel_id text NOT NULL,
            order_id text NOT NULL,
            warehouse text NOT NULL,
            country text NOT NULL,
            items jsonb NOT NULL,
            gross_grams bigint NOT NULL,
            carrier text NOT NULL,
            service text NOT NULL,
            mode text NOT NULL,
            cost_amount bigint NOT NULL,
            cost_currency text NOT NULL,
            label text NOT NULL,
            attempt integer NOT NULL,
            tracking_number text NOT NULL,
            labelled_at timestamptz,
            labelled_on date,
            status text NOT NULL,
            scanned_at timestamptz,
            taken boolean NOT NULL,
            CONSTRAINT pk_parcel PRIMARY KEY (parcel_id),
            CONSTRAINT ck_parcel_weight CHECK (gross_grams > 0)
        )
    """)
    op.execute("CREATE INDEX ix_parcel_order_id ON parcel (order_id)")
    op.execute("CREATE INDEX ix_parcel_tracking_number ON parcel (tracking_number)")
    op.execute(
        "CREATE UNIQUE INDEX uq_parcel_tracking ON parcel (carrier, tracking_number, labelled_on) WHERE tracking_number != ''"
    )
    op.execute("""
        CREATE TABLE return_parcel (
            return_id text NOT NULL,
            order_id text NOT NULL,
            lines jsonb NOT NULL,
            warehouse text NOT NULL,
            country text NOT NULL,
            grams bigint NOT NULL,
            state text NOT NULL,
            carrier text NOT NULL,
            tracking_number text NOT NULL,
            status text NOT NULL,
            scanned_at timestamptz,
            CONSTRAINT pk_return_parcel PRIMARY KEY (return_id)
        )
    """)
    op.execute("CREATE INDEX ix_return_parcel_order_id ON return_parcel (order_id)")
    op.execute("CREATE INDEX ix_return_parcel_tracking_number ON return_parcel (tracking_number)")
    op.execute("""
        CREATE TABLE recipient (
            order_id text NOT NULL,
            name text NOT NULL,
            email text NOT NULL,
            phone text NOT NULL,
            address jsonb NOT NULL,
            CONSTRAINT pk_recipient PRIMARY KEY (order_id)
        )
    """)
    op.execute("""
        CREATE TABLE document (
            document_id text NOT NULL,
            store_id text NOT NULL,
            type text NOT NULL,
            order_id text NOT NULL,
            sku text NOT NULL,
            number text NOT NULL,
            issued_on date,
            declared_amount bigint,
            declared_currency text,
            identifiers jsonb NOT NULL,
            supplied_at timestamptz NOT NULL,
            CONSTRAINT pk_document PRIMARY KEY (document_id),
            CONSTRAINT ck_document_subject CHECK ((order_id = '') <> (sku = ''))
        )
    """)
    op.execute("CREATE INDEX ix_document_order_id ON document (order_id) WHERE order_id != ''")
    op.execute("CREATE INDEX ix_document_sku ON document (sku) WHERE sku != ''")
    op.execute("""
        CREATE TABLE document_file (
            document_id text NOT NULL,
            name text NOT NULL,
            media_type text NOT NULL,
            content bytea NOT NULL,
            CONSTRAINT pk_document_file PRIMARY KEY (document_id)
        )
    """)
    op.execute("""
        CREATE TABLE paper (
            document_id text NOT NULL,
            order_id text NOT NULL,
            kind text NOT NULL,
            number text NOT NULL,
            data jsonb NOT NULL,
            frozen_at timestamptz NOT NULL,
            CONSTRAINT pk_paper PRIMARY KEY (document_id)
        )
    """)
    op.execute("CREATE INDEX ix_paper_order_id ON paper (order_id)")
    op.execute("""
        CREATE TABLE parcel_scan (
            webhook_id text NOT NULL,
            order_id text NOT NULL,
            parcel_id text NOT NULL,
            return_id text NOT NULL,
            carrier text NOT NULL,
            tracking_number text NOT NULL,
            word text NOT NULL,
            status text NOT NULL,
            scanned_at timestamptz NOT NULL,
            country text NOT NULL,
            CONSTRAINT pk_parcel_scan PRIMARY KEY (webhook_id)
        )
    """)
    op.execute("CREATE INDEX ix_parcel_scan_order_id ON parcel_scan (order_id, scanned_at)")
    op.execute("""
        CREATE TABLE stray_scan (
            webhook_id text NOT NULL,
            scan jsonb NOT NULL,
            since timestamptz NOT NULL,
            CONSTRAINT pk_stray_scan PRIMARY KEY (webhook_id)
        )
    """)
    op.execute("""
        CREATE TABLE product (
            sku text NOT NULL,
            version integer NOT NULL,
            titles jsonb NOT NULL,
            category text NOT NULL,
            hs_code text NOT NULL,
            origin_country text NOT NULL,
            weight_grams integer NOT NULL,
            flags jsonb NOT NULL,
            claims_preference boolean NOT NULL,
            withdrawn boolean NOT NULL,
            CONSTRAINT pk_product PRIMARY KEY (sku)
        )
    """)
    op.execute("""
        CREATE TABLE rulebook (
            version text NOT NULL,
            content jsonb NOT NULL,
            first_used_at timestamptz NOT NULL,
            CONSTRAINT pk_rulebook PRIMARY KEY (version)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE rulebook")
    op.execute("DROP TABLE product")
    op.execute("DROP TABLE stray_scan")
    op.execute("DROP TABLE parcel_scan")
    op.execute("DROP TABLE paper")
    op.execute("DROP TABLE document_file")
    op.execute("DROP TABLE document")
    op.execute("DROP TABLE recipient")
    op.execute("DROP TABLE return_parcel")
    op.execute("DROP TABLE parcel")
    op.execute("DROP TABLE held_line")
    op.execute("DROP TABLE consignment")
