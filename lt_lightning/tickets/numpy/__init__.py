"""Prediction with NumPy alone: convolutions and recurrent layers that skip the zeros of a ticket."""
