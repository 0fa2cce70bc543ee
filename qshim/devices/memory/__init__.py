"""Memory devices and the backends behind them."""
