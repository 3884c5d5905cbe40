/* SPDX-License-Identifier: MIT */
/* env.h - the settings in the environment, and who gets them. */
#ifndef VVM_PRELOAD_ENV_H
#define VVM_PRELOAD_ENV_H

#include <stdbool.h>

/* Takes VVM_*, WISHES_VARIABLE and our part of LD_PRELOAD out of environ. */
void preload_hide(void);
/* What was taken out, without LD_PRELOAD; ends with NULL. */
char *const *preload_hidden(void);
/* Is it one of those that are ours alone? (LD_PRELOAD is not.) */
bool preload_is_setting(const char *entry);
/* Takes our part out of the value of LD_PRELOAD. False: nothing else is in it.
 */
bool preload_cut(char *list);
/* The path of this object. */
const char *preload_object(void);
/* Tells the vvmrun that waits for us where our statistics are. */
void preload_report(const char *name);

#endif
