package utils_test // want package-name
