"""The oversell proof: crowds of buyers for few units, through HTTP, at two replicas of orders and of inventory."""
