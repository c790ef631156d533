"""The ground floor: what every package of Evenface stands on, and what knows none of them."""
