<?php

declare(strict_types=1);

namespace Snug\Laravel\Console;

/**
 * The environment variable that selects the broadcast connection. Laravel 11 renamed it.
 *
 * @internal
 */
final class BroadcastVariable
{
    /** Returns the name that the application's configuration reads. */
    public static function name(): string
    {
        $file = config_path('broadcasting.php');
        if (is_file($file)) {
            return str_contains((string) file_get_contents($file), 'BROADCAST_DRIVER')
                ? 'BROADCAST_DRIVER'
                : 'BROADCAST_CONNECTION';
        }
        return version_compare(app()->version(), '11', '>=') ? 'BROADCAST_CONNECTION' : 'BROADCAST_DRIVER';
    }
}
