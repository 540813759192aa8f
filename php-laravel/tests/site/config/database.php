<?php

declare(strict_types=1);

// The application has no database. Laravel's own commands need the setting.
return [
    'default' => 'none',
    'connections' => [],
    'migrations' => 'migrations',
];
