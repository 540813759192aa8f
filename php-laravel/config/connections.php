<?php

/**
 * The broadcast connection `snug`, which config/broadcasting.php need not contain.
 */

declare(strict_types=1);

return [

    'snug' => [
        'driver' => 'snug',
    ],

];
