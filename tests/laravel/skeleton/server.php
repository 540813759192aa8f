<?php

// The pages of `php artisan serve`: files in public/, or else the application.

declare(strict_types=1);

$path = urldecode((string) parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if ($path !== '/' && is_file(__DIR__ . "/public$path")) {
    return false;
}

require __DIR__ . '/public/index.php';
