# shellcheck shell=bash
# What to do about what the doctor found: sourced by doctor.sh. A fix says what to type; where it depends on where the kit runs
# (container, WSL2, under strict settings), it says it for each.

# shellcheck disable=SC2034 # by name
declare -A fixes=(
    [packages]='make installs them (as root, or with sudo): scripts/deps.sh build test ui. Without that right, ask for the line that it prints. Not Debian: install the same under your names for it, then make DEPS=0'
    [viewer]='scripts/deps.sh ui installs Go'"'"'s pprof and graphviz; without them bin/top and bin/flame still show profiles'
    [build]='run make and read its first error; missing packages are listed above'
    [samples]='CPU timers do not fire as they should: is the process limited to less than a core (docker --cpus, cgroup), or are signals refused by a sandbox (gVisor)? Try it outside of that; the comments of a profile (scripts/pprof -comments FILE) say what was dropped'
    [symbols]='the programs have no debug information: build with -g and do not strip (make clean; make)'
    [depth]='stacks are cut off: build with -fno-omit-frame-pointer and without -fomit-frame-pointer in CFLAGS (make clean; make)'
    [heap]='another allocator stands before libprof'"'"'s: unset LD_PRELOAD, and run this outside of valgrind or heaptrack'
    [locks]='the pthread calls are not intercepted: unset LD_PRELOAD; a statically linked libc cannot be intercepted'
    [perf_paranoid]='as root: sysctl kernel.perf_event_paranoid=2 (Debian and Ubuntu ship 3 or 4, which refuses everybody but root). In a container it is the host'"'"'s setting. Without it traces still work, but cannot tell running from runnable'
    [perf_seccomp]='a seccomp filter refuses it, as Docker'"'"'s does. Start the container with: docker run --cap-add PERFMON (or --security-opt seccomp=unconfined); devcontainer: "runArgs": ["--cap-add=PERFMON"]; Kubernetes: securityContext.capabilities.add [PERFMON]. Without it traces still work, but cannot tell running from runnable'
    [perf_missing]='this kernel records no context switches (WSL1, gVisor, CONFIG_PERF_EVENTS off). WSL: wsl --set-version DISTRIBUTION 2. Without it traces still work, but cannot tell running from runnable'
    [perf_mlock]='as root: sysctl kernel.perf_event_mlock_kb=2048'
    [clock]='each reading of the time is a system call: benchmarks of less than a microsecond are distorted. As root: echo tsc >/sys/devices/system/clocksource/clocksource0/current_clocksource (WSL2: wsl --shutdown, then start again)'
    [noise]='close the browser and the video call, plug in the power supply; then raise BENCH_COUNT=20 BENCH_TIME=1s. On a shared or virtual machine, measure again at a quieter time'
    [load]='wait for it, or stop it; every comparison takes both sides in turns, so it is still fair, only less sharp'
    [steal]='the host gives the processor to other machines; measure at another time, or raise BENCH_COUNT'
    [governor]='as root: cpupower frequency-set -g performance; on a laptop: plug in the power supply and choose the power mode "performance"'
    [cores]='with one core nothing runs at once: steps 3 and 4 show waiting but no parallel speedup. Give the virtual machine or the container two cores (docker --cpus=2)'
    [disk]='make room: make clean-profiles removes captures, make clean what was built'
    [memory]='close something; the memory steps need some 500 MiB'
    [ulimit_signals]='each profiled thread needs a pending signal: ulimit -i 4096'
    [ulimit_files]='ulimit -n 1024'
    [ptrace]='gdb cannot debug anything here. As root: sysctl kernel.yama.ptrace_scope=1; in a container: docker run --cap-add SYS_PTRACE'
    [wsl_disk]='the folder is on the Windows disk, which is slow from here: clone the kit below your Linux home (~)'
    [wsl1]='WSL1 has no real Linux kernel: wsl --set-version DISTRIBUTION 2'
    [git]='git is not needed to measure, only to name the commit: apt-get install git'
    [sanitizer]='figures of a sanitizer build mean nothing: make without SAN'
    [preload]='unset LD_PRELOAD: what is in it runs in every program that is measured'
)
