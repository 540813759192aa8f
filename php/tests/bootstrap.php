<?php

declare(strict_types=1);

require_once __DIR__ . '/../autoload.php';

// Composer's autoloader finds these by itself; the fallback in ../autoload.php does not.
foreach (['LiveWorker', 'TestConnection'] as $class) {
    require_once __DIR__ . "/$class.php";
}
if (!class_exists('Http\Discovery\Psr18ClientDiscovery')) {
    require_once __DIR__ . '/discovery/Psr18ClientDiscovery.php';
    require_once __DIR__ . '/discovery/Psr17FactoryDiscovery.php';
}
