"""What logistics knows about goods: its own copy of the catalog."""

from dataclasses import dataclass, field

from shared.contracts.values import GoodsFlag


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The catalog's product, as far as papers and carriers need it. Version 0 stands for one that was never heard of."""

    sku: str
    version: int = 0
    titles: dict[str, str] = field(default_factory=dict[str, str])
    category: str = ""
    hs_code: str = ""
    origin_country: str = ""
    weight_grams: int = 0  # 0 while unknown
    flags: tuple[GoodsFlag, ...] = ()
    claims_preference: bool = False
    withdrawn: bool = False
    store_id: str = ""

    @property
    def description(self) -> str:
        """What the invoice calls it: the English title, else the first by language code, else nothing."""
        english = [self.titles[code] for code in sorted(self.titles) if code.partition("-")[0].lower() == "en"]
        others = [self.titles[code] for code in sorted(self.titles)]
        return (english or others or [""])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goods:
    """Units of a product that travel together."""

    product: Product
    quantity: int

    @property
    def sku(self) -> str:
        return self.product.sku

    @property
    def weight_grams(self) -> int:
        """The net weight of all units."""
        return self.product.weight_grams * self.quantity
