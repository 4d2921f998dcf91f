// @listing 6
