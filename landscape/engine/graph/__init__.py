"""A network recorded as a graph of operators, lowered to layers."""
