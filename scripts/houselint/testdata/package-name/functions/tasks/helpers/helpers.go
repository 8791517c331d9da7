package helpers // want package-name
