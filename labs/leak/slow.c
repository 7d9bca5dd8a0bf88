/* Lab 4, before: the jobs are done, so the caller goes on. Nobody told the crew. Each call leaves
 * `workers` threads behind, with their stacks, until the process has no more threads to give. */
#include "labs/leak/leak.h"

__attribute__((noinline)) int leak_leaky(int workers, uint64_t *sum)
{
    struct leak_crew *crew;
    int err = leak_crew_start(workers, &crew, sum);

    if (!err)
        leak_crew_forget(crew);
    return err;
}
