"""How traffic is split: routers behind one Protocol."""
