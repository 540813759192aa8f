<?php

/**
 * Loads Snug and an HTTP client by Composer's autoloader; or where Composer has installed nothing, Snug from src/ and
 * the client from the include path, where Debian's php-guzzlehttp-guzzle has it.
 *
 * For this folder's own tests and example: an application loads Snug by its own Composer.
 */

declare(strict_types=1);

if (is_file(__DIR__ . '/vendor/autoload.php')) {
    require __DIR__ . '/vendor/autoload.php';
    return;
}

require_once 'GuzzleHttp/autoload.php';
spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Snug\\')) {
        $file = __DIR__ . '/src/' . str_replace('\\', '/', substr($class, 5)) . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
