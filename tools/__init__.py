"""What the project needs besides the product: the local cluster, the lock files, the gates."""
