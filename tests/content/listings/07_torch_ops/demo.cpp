// @listing 1
