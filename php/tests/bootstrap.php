<?php

declare(strict_types=1);

require_once __DIR__ . '/../autoload.php';

// Composer knows them by itself.
foreach (['Live', 'Visitor'] as $class) {
    require_once __DIR__ . "/$class.php";
}
