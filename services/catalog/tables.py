"""Catalog's tables. Rows are locked in the order in which they stand here, keys sorted."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Index, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.database import new_metadata

metadata: MetaData = new_metadata()

# A SKU is the key of the product's events, so it belongs to one store of the platform only.
product = Table(
    "product",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("store_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("category", Text, nullable=False),
    Column("hs_code", Text, nullable=False),
    Column("origin_country", Text, nullable=False),
    Column("weight_grams", Integer, nullable=False),
    Column("flags", ARRAY(Text), nullable=False),
    Column("claims_preference", Boolean, nullable=False),
    Column("titles", JSONB, nullable=False),
    Column("descriptions", JSONB, nullable=False),
    Column("bullets", JSONB, nullable=False),
    Column("media", JSONB, nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("status IN ('published', 'withdrawn')", name="status"),
    CheckConstraint("version > 0", name="version"),
    CheckConstraint("weight_grams >= 0", name="weight"),
    CheckConstraint("hs_code ~ '^([0-9]{6,12})?$'", name="hs_code"),
    Index("ix_product_list", "store_id", "sku"),
    Index("ix_product_category", "store_id", "category", "sku"),
)

# Both sides of a price: as the seller entered it, and as the buyer sees it. Written and read with its product, whose lock it shares.
product_price = Table(
    "product_price",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("market", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("entered_amount", BigInteger, nullable=False),
    Column("entered_tax_included", Boolean),
    Column("entered_tax_rate_bps", Integer),
    Column("foreign_currency", Boolean, nullable=False),
    Column("shown_amount", BigInteger, nullable=False),
    Column("tax_included", Boolean, nullable=False),
    Column("tax_rate_bps", Integer, nullable=False),
    CheckConstraint("entered_amount >= 0 AND shown_amount >= 0", name="amount"),
    CheckConstraint("tax_rate_bps BETWEEN 0 AND 10000", name="tax_rate"),
)
