"""How the tokens of a call become fewer before its blocks, and all of them again behind them."""
