/* SPDX-License-Identifier: MIT */
/*
 * support/sanitizer.h - is the program built with one?
 */
#ifndef VVM_SANITIZER_H
#define VVM_SANITIZER_H

/* Sanitizers hold memory and mappings of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIVE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LIVE_SANITIZED 1
#endif
#endif
#ifndef LIVE_SANITIZED
#define LIVE_SANITIZED 0
#endif

/*
 * ThreadSanitizer, moreover,
 * - has threads of its own, and maps memory for whatever it comes to know;
 * - keeps signals back and runs their handlers at its next leisure, which may
 *   be in a handler that had them blocked: none but SIGSEGV and SIGBUS can be
 *   told to stay away from the library's own.
 */
#if defined(__SANITIZE_THREAD__)
#define LIVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LIVE_TSAN 1
#endif
#endif
#ifndef LIVE_TSAN
#define LIVE_TSAN 0
#endif

#endif
