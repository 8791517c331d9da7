package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/coditect/platform/scripts/local/doctor"
	"github.com/coditect/platform/scripts/local/tools"
)

func checkTools(ctx context.Context, here place, _ []string) (int, error) {
	if missing := doctor.Report(os.Stdout, doctor.Run(ctx, doctor.Checks(here.tools))); missing > 0 {
		return 1, fmt.Errorf("%d tools are missing", missing)
	}
	return 0, nil
}

// getTools gets what can be got without asking: the rest is for doctor to say.
func getTools(ctx context.Context, here place, _ []string) (int, error) {
	get := tools.Installer{Finder: here.tools, Out: os.Stderr}
	if _, _, err := get.Ensure(ctx, 0); err != nil {
		return 1, err
	}
	if _, err := get.EnsureRedis(ctx); err != nil {
		return 1, err
	}
	if _, err := exec.LookPath("gcc"); err == nil {
		return 0, nil
	}
	if _, err := exec.LookPath("clang"); err == nil {
		return 0, nil
	}
	if err := get.Packages(ctx, "gcc", "libc6-dev"); err != nil {
		return 1, errors.Join(errors.New("the race detector needs a C compiler; `make doctor` says how to get one"), err)
	}
	return 0, nil
}
