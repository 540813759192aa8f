<?php

/**
 * Loads the package and Laravel for this folder's tests: with Composer's autoloader if dependencies are installed, or
 * else the package from src/, Snug from ../php and Debian's Laravel from the include path.
 *
 * Applications load the package with their own Composer autoloader.
 */

declare(strict_types=1);

if (is_file(__DIR__ . '/vendor/autoload.php')) {
    require __DIR__ . '/vendor/autoload.php';
    return;
}

require_once __DIR__ . '/../php/autoload.php';
require_once 'Illuminate/autoload.php';
spl_autoload_register(static function (string $class): void {
    foreach (['Snug\\Laravel\\Tests\\' => 'tests', 'Snug\\Laravel\\' => 'src'] as $namespace => $folder) {
        if (str_starts_with($class, $namespace)) {
            $file = __DIR__ . "/$folder/" . str_replace('\\', '/', substr($class, strlen($namespace))) . '.php';
            if (is_file($file)) {
                require $file;
            }
            return;
        }
    }
});
