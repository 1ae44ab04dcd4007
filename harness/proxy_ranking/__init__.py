"""Zero-cost proxies as rankers of stand-alone networks."""
