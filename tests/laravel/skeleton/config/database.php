<?php

declare(strict_types=1);

return [
    'default' => 'none',
    'connections' => [],
    'migrations' => 'migrations',
];
