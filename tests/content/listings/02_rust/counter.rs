// @listing 5
