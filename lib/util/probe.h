/* SPDX-License-Identifier: MIT */
/*
 * util/probe.h - static probe points (USDT), for perf, bpftrace and SystemTap.
 *
 * With <sys/sdt.h> (configure finds it) a probe is one nop and a note in the
 * library's file that says where its arguments are; a tracer puts a
 * breakpoint there. Without it there is nothing. The points and their
 * arguments are documented in vvm(7), which a test compares with the notes.
 * Arguments should be at hand anyway: they are evaluated always.
 */
#ifndef VVM_PROBE_H
#define VVM_PROBE_H

#ifdef HAVE_SDT
#include <sys/sdt.h>
#define PROBE2(name, a, b)	 DTRACE_PROBE2(libvvm, name, a, b)
#define PROBE3(name, a, b, c)	 DTRACE_PROBE3(libvvm, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(libvvm, name, a, b, c, d)
#else
#define PROBE2(name, a, b)	 ((void)(a), (void)(b))
#define PROBE3(name, a, b, c)	 ((void)(a), (void)(b), (void)(c))
#define PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
