/* SPDX-License-Identifier: MIT */
/*
 * sim/tsan.c - a point at each access to memory.
 *
 * The library's files are compiled with -fsanitize=thread for the simulator,
 * and linked without ThreadSanitizer: the functions that the compiler calls at
 * each access, and in the place of each atomic operation, are these. A thread
 * can be stopped, or interrupted by a signal, before any of them. The memory is
 * sequentially consistent: one thread runs at a time. So faults of a memory
 * order that is too weak are not found here; `make tsan` looks for those.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "sim/sched.h"

/* ---- plain accesses ---- */

#define ACCESS(name)                      \
	void __tsan_##name(void *addr);   \
	void __tsan_##name(void *addr)    \
	{                                 \
		(void)addr;               \
		sim_point(SIM_AT_ACCESS); \
	}
#define ACCESSES(n)                        \
	ACCESS(read##n)                    \
	ACCESS(write##n)                   \
	ACCESS(unaligned_read##n)          \
	ACCESS(unaligned_write##n)         \
	ACCESS(volatile_read##n)           \
	ACCESS(volatile_write##n)          \
	ACCESS(unaligned_volatile_read##n) \
	ACCESS(unaligned_volatile_write##n)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

#define RANGE(name)                                          \
	void __tsan_##name(void *addr, unsigned long bytes); \
	void __tsan_##name(void *addr, unsigned long bytes)  \
	{                                                    \
		(void)addr;                                  \
		(void)bytes;                                 \
		sim_point(SIM_AT_ACCESS);                    \
	}
RANGE(read_range)
RANGE(write_range)

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *from);
void __tsan_func_entry(void *from)
{
	(void)from;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

/* ---- atomics ---- */

/* What is sequentially consistent is everything that anybody asked for. */
#define ORDER __ATOMIC_SEQ_CST

#define FETCH(type, bits, op)                                           \
	type __tsan_atomic##bits##_fetch_##op(volatile type *a, type v, \
					      int order);               \
	type __tsan_atomic##bits##_fetch_##op(volatile type *a, type v, \
					      int order)                \
	{                                                               \
		(void)order;                                            \
		sim_point(SIM_AT_ATOMIC);                               \
		return __atomic_fetch_##op(a, v, ORDER);                \
	}

#define EXCHANGE(type, bits, kind)                                            \
	int __tsan_atomic##bits##_compare_exchange_##kind(                    \
		volatile type *a, type *c, type v, int order, int fail);      \
	int __tsan_atomic##bits##_compare_exchange_##kind(                    \
		volatile type *a, type *c, type v, int order, int fail)       \
	{                                                                     \
		(void)order;                                                  \
		(void)fail;                                                   \
		sim_point(SIM_AT_ATOMIC);                                     \
		return __atomic_compare_exchange_n(a, c, v, 0, ORDER, ORDER); \
	}

#define ATOMIC(type, bits)                                                     \
	type __tsan_atomic##bits##_load(const volatile type *a, int order);    \
	type __tsan_atomic##bits##_load(const volatile type *a, int order)     \
	{                                                                      \
		(void)order;                                                   \
		sim_point(SIM_AT_ATOMIC);                                      \
		return __atomic_load_n(a, ORDER);                              \
	}                                                                      \
	void __tsan_atomic##bits##_store(volatile type *a, type v, int order); \
	void __tsan_atomic##bits##_store(volatile type *a, type v, int order)  \
	{                                                                      \
		(void)order;                                                   \
		sim_point(SIM_AT_ATOMIC);                                      \
		__atomic_store_n(a, v, ORDER);                                 \
	}                                                                      \
	type __tsan_atomic##bits##_exchange(volatile type *a, type v,          \
					    int order);                        \
	type __tsan_atomic##bits##_exchange(volatile type *a, type v,          \
					    int order)                         \
	{                                                                      \
		(void)order;                                                   \
		sim_point(SIM_AT_ATOMIC);                                      \
		return __atomic_exchange_n(a, v, ORDER);                       \
	}                                                                      \
	FETCH(type, bits, add)                                                 \
	FETCH(type, bits, sub)                                                 \
	FETCH(type, bits, and)                                                 \
	FETCH(type, bits, or)                                                  \
	FETCH(type, bits, xor)                                                 \
	EXCHANGE(type, bits, strong)                                           \
	EXCHANGE(type, bits, weak)

ATOMIC(uint8_t, 8)
ATOMIC(uint16_t, 16)
ATOMIC(uint32_t, 32)
ATOMIC(uint64_t, 64)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	(void)order;
	sim_point(SIM_AT_ATOMIC);
	atomic_thread_fence(memory_order_seq_cst);
}

/* A signal can come here, above all. */
void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
	sim_point(SIM_AT_ATOMIC);
}
