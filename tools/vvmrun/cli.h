/* SPDX-License-Identifier: MIT */
/* cli.h - vvmrun's command line. */
#ifndef VVM_RUN_CLI_H
#define VVM_RUN_CLI_H

#include "vvmrun/program.h"

/*
 * Fills r from the arguments and sets libvvm's variables. --help, --version and
 * what is wrong end the process.
 */
void cli_parse(struct run *r, int argc, char **argv);

#endif
