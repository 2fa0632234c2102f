"""What runs the jobs every few minutes: systemd's timers or cron's table, written from the configuration and taken away again."""
