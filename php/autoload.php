<?php

/**
 * Loads Snug and HTTP clients for this folder's tests and example: with Composer's autoloader if dependencies are
 * installed, or else Snug from src/ and Debian's Guzzle and Symfony clients from the include path.
 *
 * Applications load Snug with their own Composer autoloader.
 */

declare(strict_types=1);

if (is_file(__DIR__ . '/vendor/autoload.php')) {
    require __DIR__ . '/vendor/autoload.php';
    return;
}

require_once 'GuzzleHttp/autoload.php';
require_once 'Nyholm/Psr7/autoload.php';
require_once 'Symfony/Component/HttpClient/autoload.php';
spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Snug\\')) {
        $file = __DIR__ . '/src/' . str_replace('\\', '/', substr($class, 5)) . '.php';
        if (is_file($file)) {
            require $file;
        }
    }
});
