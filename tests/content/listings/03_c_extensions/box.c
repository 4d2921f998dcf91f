/* @listing 2 */
