#!/bin/bash
# One and the same program against itself, 10,000 times over, with 2 % of noise: how often does benchstat find a difference?
# And how often does somebody find one who repeats up to 10 times until there is one? No program is run: awk makes the times.
awk 'BEGIN {
    srand(42)
    for (trial = 1; trial <= 10000; trial++)
        for (run = 1; run <= 10; run++)
            for (side = 0; side < 2; side++) {
                noise = -6
                for (i = 0; i < 12; i++) noise += rand()   # near enough to a normal distribution
                printf "BenchmarkTrial%05d/impl=%s 1 %.3f ns/op\n", trial, side ? "b" : "a", 100 * (1 + 0.02 * noise)
            }
}' | bin/benchstat -format csv -col /impl - 2>/dev/null | awk -F, '
    match($0, /p=[0-9.]+/) {
        if ($1 == "geomean") next
        n++
        found = substr($0, RSTART + 2, RLENGTH - 2) + 0 < 0.05
        once += found
        any = any || found
        if (n % 10 == 0) { persons++; stubborn += any; any = 0 }
    }
    END {
        printf "one comparison each:         %4.1f %% of %d find a difference that is not there\n", 100 * once / n, n
        printf "up to ten, until p < 0.05:   %4.1f %% of %d do\n", 100 * stubborn / persons, persons
    }'
