"""Compute what criteria ask for: losses, gradients, products with the Hessian, synaptic flow, sums over a round."""
