"""What the lessons compute: the formulas on a matrix of 6 x 6, by the very functions that compress
networks, and the same questions asked of a real one.
"""
