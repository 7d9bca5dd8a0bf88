/* A trace whose every figure is known: the story of three threads on two CPUs.
 *
 *   main    runs 0-10 on CPU 0, joins, runs 40-50 on CPU 0
 *   loader  runs 1-5 on CPU 1, is preempted, runs 6-12, sleeps, runs 20-30 and ends; holds the
 *           mutex until 22
 *   cook    runs 10-14 on CPU 0, waits for the mutex until 22, for a CPU until 24, runs 24-35, ends
 */
#ifndef TESTS_TRACE_STORY_H
#define TESTS_TRACE_STORY_H

#include "tests/trace_file.h"

enum { STORY_PID = 100, STORY_MAIN = 100, STORY_LOADER = 101, STORY_COOK = 102 };
enum { STORY_LOCK = 0x1000 };
enum { T_PROCESS = 1, T_MAIN, T_LOADER, T_COOK, T_TASK1, T_TASK2, T_GC, T_QUEUE };

static inline void story_tracks(struct trace_file *f)
{
    static const char *const lock[] = {"main", "serve", "cook", "lock", NULL};
    static const char *const unlock[] = {"main", "load", NULL};
    static const char *const sleep[] = {"main", "load", "rest", NULL};

    tf_process(f, T_PROCESS, STORY_PID, "kitchen");
    tf_thread(f, T_MAIN, STORY_PID, STORY_MAIN, "kitchen");
    tf_thread(f, T_LOADER, STORY_PID, STORY_LOADER, "loader");
    tf_thread(f, T_COOK, STORY_PID, STORY_COOK, "cook");
    tf_track(f, T_TASK1, "order", T_PROCESS);
    tf_track(f, T_TASK2, "dish", T_PROCESS);
    tf_track(f, T_GC, "GC", T_PROCESS);
    tf_counter(f, T_QUEUE, "queue", 3);
    tf_stack(f, 1, lock);
    tf_stack(f, 2, unlock);
    tf_stack(f, 3, sleep);
}

static inline void story_switches(struct trace_file *f)
{
    tf_switch(f, 1, 1, 0, 0, STORY_LOADER);
    tf_switch(f, 5, 1, STORY_LOADER, 0, 0);
    tf_switch(f, 6, 1, 0, 0, STORY_LOADER);
    tf_switch(f, 10, 0, STORY_MAIN, 1, 0);
    tf_switch(f, 10, 0, 0, 0, STORY_COOK);
    tf_switch(f, 12, 1, STORY_LOADER, 1, 0);
    tf_switch(f, 14, 0, STORY_COOK, 1, 0);
    tf_switch(f, 20, 1, 0, 0, STORY_LOADER);
    tf_waking(f, 22, 1, STORY_COOK);
    tf_switch(f, 24, 0, 0, 0, STORY_COOK);
    tf_switch(f, 30, 1, STORY_LOADER, 1, 0);
    tf_switch(f, 35, 0, STORY_COOK, 1, 0);
    tf_switch(f, 40, 0, 0, 0, STORY_MAIN);
    tf_switch(f, 50, 0, STORY_MAIN, 1, 0);
}

static inline void story_threads(struct trace_file *f)
{
    tf_event(
        f,
        (struct tf_event){
            .ms = 0, .track = T_MAIN, .type = TF_BEGIN, .category = "region", .name = "evening"});
    tf_event(
        f, (struct tf_event){
               .ms = 9.9, .track = T_MAIN, .type = TF_BEGIN, .category = "block", .name = "join"});
    tf_event(f, (struct tf_event){.ms = 40.1, .track = T_MAIN, .type = TF_END});
    tf_event(f, (struct tf_event){.ms = 45,
                                  .track = T_MAIN,
                                  .type = TF_INSTANT,
                                  .category = "log",
                                  .name = "=all done \"now\"",
                                  .log_category = "house",
                                  .task = 1});

    tf_event(f, (struct tf_event){.ms = 1.1,
                                  .track = T_LOADER,
                                  .type = TF_INSTANT,
                                  .category = "thread",
                                  .name = "start",
                                  .start_function = "load",
                                  .creator = STORY_MAIN,
                                  .stack = 2});
    tf_event(f, (struct tf_event){.ms = 11.9,
                                  .track = T_LOADER,
                                  .type = TF_BEGIN,
                                  .category = "syscall",
                                  .name = "sleep",
                                  .stack = 3});
    tf_event(f, (struct tf_event){.ms = 20.1, .track = T_LOADER, .type = TF_END});
    tf_event(f, (struct tf_event){.ms = 22,
                                  .track = T_LOADER,
                                  .type = TF_INSTANT,
                                  .category = "wake",
                                  .name = "unlock",
                                  .lock = STORY_LOCK,
                                  .flow = 7,
                                  .stack = 2});
    tf_event(f, (struct tf_event){.ms = 29.9,
                                  .track = T_LOADER,
                                  .type = TF_INSTANT,
                                  .category = "thread",
                                  .name = "exit"});

    tf_event(f, (struct tf_event){.ms = 10.1,
                                  .track = T_COOK,
                                  .type = TF_INSTANT,
                                  .category = "thread",
                                  .name = "start",
                                  .start_function = "cook",
                                  .creator = STORY_MAIN,
                                  .stack = 1});
    tf_event(f, (struct tf_event){.ms = 13.9,
                                  .track = T_COOK,
                                  .type = TF_BEGIN,
                                  .category = "block",
                                  .name = "mutex lock",
                                  .lock = STORY_LOCK,
                                  .holder = STORY_LOADER,
                                  .stack = 1});
    tf_event(
        f,
        (struct tf_event){
            .ms = 24.1, .track = T_COOK, .type = TF_END, .woken_by = STORY_LOADER, .end_flow = 7});
    tf_event(f, (struct tf_event){.ms = 25,
                                  .track = T_COOK,
                                  .type = TF_BEGIN,
                                  .category = "region",
                                  .name = "fry",
                                  .task = 1,
                                  .note = "hot"});
    tf_event(f, (struct tf_event){.ms = 26,
                                  .track = T_COOK,
                                  .type = TF_BEGIN,
                                  .category = "region",
                                  .name = "salt",
                                  .task = 2});
    tf_event(f, (struct tf_event){.ms = 27, .track = T_COOK, .type = TF_END});
    tf_event(f, (struct tf_event){.ms = 30, .track = T_COOK, .type = TF_END});
    tf_event(
        f,
        (struct tf_event){
            .ms = 34.9, .track = T_COOK, .type = TF_INSTANT, .category = "thread", .name = "exit"});
}

static inline void story_rest(struct trace_file *f)
{
    tf_event(f, (struct tf_event){.ms = 12,
                                  .track = T_TASK1,
                                  .type = TF_BEGIN,
                                  .category = "task",
                                  .name = "order",
                                  .task = 1});
    tf_event(f, (struct tf_event){.ms = 31, .track = T_TASK1, .type = TF_END});
    tf_event(f, (struct tf_event){.ms = 26,
                                  .track = T_TASK2,
                                  .type = TF_BEGIN,
                                  .category = "task",
                                  .name = "dish",
                                  .task = 2,
                                  .parent = 1});
    tf_event(f, (struct tf_event){.ms = 29, .track = T_TASK2, .type = TF_END});
    tf_event(f, (struct tf_event){.ms = 36,
                                  .track = T_GC,
                                  .type = TF_BEGIN,
                                  .category = "gc",
                                  .name = "GC",
                                  .number = 1});
    tf_event(
        f,
        (struct tf_event){
            .ms = 37, .track = T_GC, .type = TF_BEGIN, .category = "gc", .name = "stop the world"});
    tf_event(f, (struct tf_event){.ms = 39, .track = T_GC, .type = TF_END});
    tf_event(f, (struct tf_event){.ms = 40, .track = T_GC, .type = TF_END});
    tf_event(f, (struct tf_event){.ms = 2, .track = T_QUEUE, .type = TF_COUNT, .value = 4096});
    tf_event(f, (struct tf_event){.ms = 30, .track = T_QUEUE, .type = TF_COUNT, .value = -1});
    tf_sample(f, 3, STORY_LOADER, 2);
    tf_sample(f, 8, STORY_LOADER, 2);
    tf_sample(f, 28, STORY_COOK, 1);
    tf_event(f, (struct tf_event){.ms = 50,
                                  .track = T_PROCESS,
                                  .type = TF_INSTANT,
                                  .category = "notice",
                                  .name = "=12 events were dropped",
                                  .dropped = 12});
}

static inline void story_write(struct trace_file *f)
{
    *f = (struct trace_file){0};
    tf_chunk(f, 1, false);
    story_tracks(f);
    story_switches(f);
    story_threads(f);
    story_rest(f);
}

#endif
