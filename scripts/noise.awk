# The noise floor: how far apart two sets of runs of the same code can be on this machine, in percent.
#
#   awk -f scripts/noise.awk A.txt B.txt       benchmark results of the same variant, measured in turns
#
# Every run of B is divided by every run of A. The middle 95 % of the ratio of medians (the distribution-free
# interval that belongs to the Mann-Whitney test; Hodges and Lehmann, 1963) says where "no difference" lies, and its end
# farther from 1 is the factor by which the same code can seem faster than itself. The floor is that factor as a decrease,
# 1 - 1/factor, as benchstat writes what is faster: noise of a factor of 2 is 50 %, and a fix has to take more than that.
function sort(a, n,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = a[i]
        for (j = i - 1; j > 0 && a[j] > x; j--)
            a[j + 1] = a[j]
        a[j + 1] = x
    }
}
FNR == 1 { set++ }
/^Benchmark/ {
    for (i = 3; i <= NF; i++)
        if ($i == "ns/op" && $(i - 1) > 0)
            value[set, ++count[set]] = $(i - 1)
}
END {
    n = count[1]
    m = count[2]
    if (n < 1 || m < 1)
        exit 1
    for (i = 1; i <= n; i++)
        for (j = 1; j <= m; j++)
            ratio[++pairs] = value[2, j] / value[1, i]
    sort(ratio, pairs)
    k = int(n * m / 2 - 1.96 * sqrt(n * m * (n + m + 1) / 12))
    if (k < 1)
        k = 1
    low = 1 - ratio[k]
    high = 1 - 1 / ratio[pairs + 1 - k]
    printf "%.1f\n", 100 * (low > high ? low : high)
}
