extern "C" long work(long n) {
    // @gap
    return n;
    //| return n + 1;
    // @end
}
