# @listing 4
