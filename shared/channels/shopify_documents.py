"""What is asked of Shopify's Admin GraphQL API. Page sizes keep each document below the 1,000 points that one may cost."""

VERSION = "2026-07"
PATH = f"/admin/api/{VERSION}/graphql.json"

STOCK_OF_SKUS = """
query StockOfSkus($query: String!, $location: ID!, $after: String) {
  productVariants(first: 100, query: $query, after: $after) {
    nodes { sku inventoryItem { id tracked inventoryLevel(locationId: $location) { quantities(names: ["available"]) { quantity } } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
STOCK_BY_SKU = """
query StockBySku($location: ID!, $after: String) {
  productVariants(first: 100, sortKey: SKU, after: $after) {
    nodes { sku inventoryItem { id tracked inventoryLevel(locationId: $location) { quantities(names: ["available"]) { quantity } } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
SET_STOCK = """
mutation SetStock($input: InventorySetQuantitiesInput!, $key: String!) {
  done: inventorySetQuantities(input: $input) @idempotent(key: $key) { userErrors { code field message } }
}
"""

VARIANTS = """
query Variants($query: String!, $after: String) {
  productVariants(first: 100, query: $query, after: $after) {
    nodes { id sku product { id variantsCount { count } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
PUBLISH = """
mutation Publish($product: ID!, $variants: [ProductVariantsBulkInput!]!) {
  done: productVariantsBulkUpdate(productId: $product, variants: $variants) { userErrors { field message } }
  shown: productUpdate(product: {id: $product, status: ACTIVE}) { userErrors { field message } }
}
"""
WITHDRAW = """
mutation Withdraw($product: ID!) {
  done: productUpdate(product: {id: $product, status: DRAFT}) { userErrors { field message } }
}
"""

_LINES = """
nodes {
  id sku quantity currentQuantity requiresShipping
  discountedUnitPriceAfterAllDiscountsSet { shopMoney { amount } }
  taxLines { priceSet { shopMoney { amount } } }
}
pageInfo { hasNextPage endCursor }
"""
ORDERS = f"""
query Orders($query: String, $after: String) {{
  orders(first: 4, sortKey: UPDATED_AT, query: $query, after: $after) {{
    nodes {{
      id createdAt updatedAt cancelledAt cancelReason currencyCode taxesIncluded email phone
      displayFinancialStatus displayFulfillmentStatus
      totalShippingPriceSet {{ shopMoney {{ amount }} }}
      shippingLines(first: 3) {{ nodes {{ taxLines {{ priceSet {{ shopMoney {{ amount }} }} }} }} }}
      shippingAddress {{ name address1 address2 city provinceCode zip countryCodeV2 phone }}
      lineItems(first: 25) {{ {_LINES} }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""
LINES_OF_ORDER = f"""
query LinesOfOrder($id: ID!, $after: String) {{
  order(id: $id) {{ lineItems(first: 100, after: $after) {{ {_LINES} }} }}
}}
"""
TO_SHIP = """
query ToShip($id: ID!) {
  order(id: $id) {
    fulfillments { trackingInfo { number } }
    fulfillmentOrders(first: 10) {
      nodes { id status lineItems(first: 90) { nodes { id remainingQuantity lineItem { sku } } pageInfo { hasNextPage endCursor } } }
    }
  }
}
"""
SHIP = """
mutation Ship($fulfillment: FulfillmentInput!) {
  done: fulfillmentCreate(fulfillment: $fulfillment) { userErrors { field message } }
}
"""
IS_CANCELLED = """
query IsCancelled($id: ID!) { order(id: $id) { cancelledAt } }
"""
CANCEL = """
mutation Cancel($id: ID!, $reason: OrderCancelReason!, $note: String) {
  done: orderCancel(
    orderId: $id, reason: $reason, staffNote: $note, restock: false, notifyCustomer: true
    refundMethod: {originalPaymentMethodsRefund: true}
  ) { userErrors: orderCancelUserErrors { code field message } }
}
"""
PAYMENTS = """
query Payments($id: ID!) {
  order(id: $id) {
    refunds(first: 100) { note }
    transactions(first: 100) { id kind status gateway amountSet { shopMoney { amount currencyCode } } }
  }
}
"""
REFUND = """
mutation Refund($input: RefundInput!, $key: String!) {
  done: refundCreate(input: $input) @idempotent(key: $key) { userErrors { field message } }
}
"""
