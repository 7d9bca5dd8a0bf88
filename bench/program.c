/* main() of every program that is linked with libbench.a and brings none of its own. */
#include "bench/bench.h"

int main(int argc, char **argv)
{
    return bench_main(argc, argv);
}
