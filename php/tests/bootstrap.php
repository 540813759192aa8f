<?php

declare(strict_types=1);

require_once __DIR__ . '/../autoload.php';

// Composer's autoloader finds these by itself; the fallback in ../autoload.php does not.
foreach (['LiveWorker', 'TestConnection'] as $class) {
    require_once __DIR__ . "/$class.php";
}
