"""How much of what a long search finds does a short one find?"""
