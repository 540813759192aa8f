<?php

/**
 * Loads Snug and an HTTP client for this folder's tests and example: with Composer's autoloader if dependencies are
 * installed, or else Snug from src/ and Guzzle from the include path (Debian's php-guzzlehttp-guzzle).
 *
 * Applications load Snug with their own Composer autoloader.
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
