/* Prints the check digit of an EAN: the digits without the last one are the argument. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    int sum = 0;
    if (argc != 2 || strlen(argv[1]) != 12 || strspn(argv[1], "0123456789") != 12) {
        fprintf(stderr, "usage: ean DIGITS, with 12 digits\n");
        return 2;
    }
    for (int i = 0; i < 12; i++)
        sum += (argv[1][i] - '0') * (i % 2 ? 3 : 1);
    printf("%d\n", (10 - sum % 10) % 10);
    return 0;
}
